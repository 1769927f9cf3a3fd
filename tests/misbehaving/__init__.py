"""An app whose jobs do what no job should, and jobs that let a test see and steer them."""
