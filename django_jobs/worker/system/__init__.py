"""The operating system as a worker sees it: child processes and forks, signs of life, memory, exit codes, terminal."""
