"""The contract that every database dialect keeps."""
