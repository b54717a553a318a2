"""Running a study on a cluster: submission, the life of its jobs, their queue, what follows when they end."""
