"""Reward models: process rewards from steps, instruction rewards from ranked instructions, and one callable of both."""
