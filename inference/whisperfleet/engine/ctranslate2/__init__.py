"""Whisper on CTranslate2, with what faster-whisper knows of features, tokens and words."""
