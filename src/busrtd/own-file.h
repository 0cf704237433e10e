/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that this process has made, and removes at its end: sockets, FIFOs, the pid file. Only if
 * the file that has the name then is still the one that was made: an open descriptor keeps its
 * inode from being used again.
 */
#pragma once

struct own_file {
        char *path; /* NULL: none */
        int fd;
};

/* Takes what is at the path now. */
int own_file_claim(struct own_file *file, const char *path);
void own_file_remove(struct own_file *file);
