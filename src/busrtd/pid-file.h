/* SPDX-License-Identifier: Apache-2.0 */
/* The file of -P: this process's id, written whole or not at all. An old one is replaced. */
#pragma once

#include "busrtd/own-file.h"

int pid_file_write(const char *path, struct own_file *ret);
