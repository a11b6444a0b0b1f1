"""Fine-tuning: template proof, data path, SFT, LoRA, DeepSpeed, launch. See docs/train.md. Imports no torch."""

from evoltune.train.launch import train

__all__ = ["train"]
