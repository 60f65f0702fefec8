"""When and where: the command line, servers and schedules.

Asks and answers; what is done to data, and in which order, is not known here.
"""
