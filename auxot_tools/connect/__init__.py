"""The Auxot router's own WebSocket protocol: a drop-in for its tools worker."""
