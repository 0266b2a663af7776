"""Write a network as one C99 file and its header, in float32 or int8."""
