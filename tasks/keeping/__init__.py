"""What goes when its days are over: which runs, and every place that shows one, to the byte.

Decides no policy's days, and knows no command and no library of the stores that it empties.
"""
