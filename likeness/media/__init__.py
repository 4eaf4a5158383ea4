"""Bytes to arrays and back: video, stills, crops. The only room that sees BGR or a codec."""
