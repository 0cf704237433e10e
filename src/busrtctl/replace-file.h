/* SPDX-License-Identifier: Apache-2.0 */
/* A file that others read while it is renewed: at any time it is the old one or the new one. */
#pragma once

#include <stddef.h>

/* Mode 0644. 0 or -errno, with the old file as it was; -EEXIST: what is there is no file. */
int replace_file(const char *path, const void *data, size_t len);
