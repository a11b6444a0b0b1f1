"""Fine-tuning: template proof, data path, SFT, LoRA, DeepSpeed, launch. See docs/train.md."""
