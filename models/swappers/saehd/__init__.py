"""SAEHD of DeepFaceLab: an auto-encoder that learns the mask with the face."""
