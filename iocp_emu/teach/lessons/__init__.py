"""Lessons: one question each, answered by a program that runs on the real kernel while the learner looks on."""
