"""The one way out: everything of ours that speaks HTTP to somebody else goes through here."""
