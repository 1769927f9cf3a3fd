"""One module for each kind of broker; the contract is in ``brokers/interface.py``."""
