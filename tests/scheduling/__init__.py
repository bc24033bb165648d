"""The board: booking, finding, moving, exactly once."""
