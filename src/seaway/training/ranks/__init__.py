"""How the ranks of a training meet, talk and watch each other, where a framework does it badly or not at all."""
