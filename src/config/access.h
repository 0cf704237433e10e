/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access rules from their files: access.d/ *.conf in the same folders as busrtd.conf, or
 * FILE.access.d/ *.conf. docs/man/busrt.access.5.scd says what may stand in them.
 */
#pragma once

#include "access/rules.h"
#include "config/config.h"

/* How names of users and groups become numbers. 0, -ENOENT: there is none of that name, -ENOMEM, or
 * another -errno: it could not be found out. */
struct access_resolver {
        int (*find_user)(const char *name, uid_t *ret, void *userdata);
        int (*find_group)(const char *name, gid_t *ret, void *userdata);
        void *userdata;
};

/* The system's: getpwnam_r() and getgrnam_r(). May block for as long as the system's sources do. */
extern const struct access_resolver access_resolver_system;

/* A line that means nothing here: a key that is not known, or one outside of any section. Its texts
 * last as long as the call. */
typedef void (*access_warn_fn)(const struct config_entry *entry, void *userdata);

/* What the files below FILE.access.d/ say (config_file), or those of the system's folders (NULL).
 * No files: a set without sections. 0, -ENOMEM, or another -errno with one line in error that says
 * where and why; where (may be NULL) is its place. error repeats names of files and words as they
 * are: to be made visible before a terminal or a log gets it. */
int access_read_files(const char *config_file, const struct access_resolver *resolver,
                      access_warn_fn warn, void *userdata, struct access_rules **ret,
                      char error[CONFIG_ERROR_MAX], struct config_place *where);
/* Reads those files, and judges nothing: access_read_config() does. As config_read_drop_ins(). */
int access_collect_files(const char *config_file, struct config *config,
                         char error[CONFIG_ERROR_MAX]);
/* As access_read_files(), from these folders, of which earlier ones mask later ones. */
int access_read_folders(const char *const *folders, size_t n_folders,
                        const struct access_resolver *resolver, access_warn_fn warn, void *userdata,
                        struct access_rules **ret, char error[CONFIG_ERROR_MAX],
                        struct config_place *where);
/* The same from what was read already. The place of an error is config->failed_at. */
int access_read_config(struct config *config, const struct access_resolver *resolver,
                       access_warn_fn warn, void *userdata, struct access_rules **ret,
                       char error[CONFIG_ERROR_MAX]);

/* The lines that say what a section says, by its canonical mask: those of known keys that no empty
 * value takes back, in their order, until fn returns non-zero, which is returned. */
int access_foreach_line(const struct config *config, const char *mask, size_t len,
                        int (*fn)(const struct config_entry *entry, void *userdata),
                        void *userdata);
