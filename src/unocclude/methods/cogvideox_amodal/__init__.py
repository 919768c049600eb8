"""CogVideoX-Amodal, the video baseline of TGVAC (section A, table 6)."""
