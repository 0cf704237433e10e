/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses as text, inside this room: "host:port" into its parts and back, and the paths of UNIX
 * sockets.
 */
#pragma once

#include <netdb.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A path that fits. -ENAMETOOLONG. */
int address_unix(const char *path, struct sockaddr_un *ret);

/* "host:port" or "[v6]:port" into its parts. -EINVAL. */
int address_split(const char *text, char host[NI_MAXHOST], char port[6]);

/* "ip:port" or "[ip]:port"; a path for UNIX. Empty where there is no name. */
void address_format(const struct sockaddr *sa, socklen_t len, char *out, size_t size);
