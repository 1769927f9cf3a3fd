"""An app that ships a ``runworker`` too, as Channels does."""
