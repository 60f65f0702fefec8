"""Models: what they read, how they are trained, what they spend.

Must not know what attacks or checks them: who judges shares no code with this room.
"""
