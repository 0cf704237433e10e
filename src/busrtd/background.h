/* SPDX-License-Identifier: Apache-2.0 */
/* -D: the process goes on in the background, and the one that was started waits until it is ready
 * or has failed. */
#pragma once

/* 0 in the child, with the fd for background_ready(); 1 in the parent once that is decided, with
 * the status to exit with; -errno. No threads may exist yet. */
int background_start(int *ret_ready_fd, int *ret_status);

/* Lets go of the terminal and of the parent. Takes the fd. */
void background_ready(int ready_fd);
