/* SPDX-License-Identifier: Apache-2.0 */
/* The rules that a verb is about, with the lines that they were made of. */
#pragma once

#include "access/rules.h"
#include "config/access.h"

/* Where they are: a folder, or those that busrtd has with this --config, or (both NULL) those of
 * the system's folders. */
struct access_source {
        const char *folder;
        const char *config_file;
};

struct access_files {
        struct config config;
        struct access_rules *rules;
};

void access_files_done(struct access_files *files);
/* 0, or EXIT_USAGE after saying what is wrong with them. Keys that mean nothing are told, too. */
int access_files_load(const char *verb, const struct access_source *source,
                      const struct access_resolver *resolver, struct access_files *ret);
