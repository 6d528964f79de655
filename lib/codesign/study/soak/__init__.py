"""Doing harm on purpose: kills, full disks, hostile patterns, broken schedules and inputs of chance.

``make soak`` runs every campaign, ``codesign soak CAMPAIGN`` one. A campaign is divided into rounds, each with a seed
of its own; a finished round is one `soak` record, and one that was interrupted is done again. What is expected is
nothing lost and no wrong number; whatever else is found stands in the record by name.
"""
