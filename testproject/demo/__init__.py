"""The demo: a shop at work, with its mail server, its partners, a web server and a worker, all real."""
