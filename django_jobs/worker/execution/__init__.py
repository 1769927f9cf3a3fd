"""The execution of one job: call the function, classify the result, capture its log."""
