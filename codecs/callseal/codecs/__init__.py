"""The sound: samples, G.711, the inner file, levels. Pure: no IO in this part."""
