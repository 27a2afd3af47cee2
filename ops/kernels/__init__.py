"""Loops on raw pointers, each built once per instruction set; nothing else lives in this folder."""
