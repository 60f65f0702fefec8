"""When and where: the command line, servers and schedules."""
