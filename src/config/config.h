/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration files: which of them count, and what stands in them. Lines of `[Section]` and
 * `Key=Value`; comments begin with # or ;. What the values mean is the caller's business. Every
 * value keeps the file and the line that it came from.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_ERROR_MAX 512
#define CONFIG_FILE_MAX (1 << 20) /* bytes */

struct config_file {
        char *path;
        char *text; /* its entries point into it */
};

struct config_entry {
        const char *section; /* "" before the first */
        const char *key;
        const char *value; /* without blanks around it; may be empty */
        const char *file;
        unsigned line;
};

/* A header, whether or not something follows it. */
struct config_section {
        const char *name;
        const char *file;
        unsigned line;
};

/* A line of a file; line 0: the file as a whole, or with an empty name none. */
struct config_place {
        char file[256];
        unsigned line;
};

struct config {
        struct config_file **files; /* in the order in which they count */
        size_t n_files;
        struct config_entry *entries; /* later ones override */
        size_t n_entries;
        struct config_section *sections;
        size_t n_sections;
        struct config_place failed_at; /* what the last error was about */
};

/* Frees what it holds. */
void config_done(struct config *config);

/* The functions below return 0, -ENOMEM, or another -errno with one line in error that says where
 * and why. What was read before stays in config, which the caller ends in any case. */

/* One file's text, of any bytes; copied. */
int config_add_text(struct config *config, const char *path, const char *text, size_t len,
                    char error[CONFIG_ERROR_MAX]);
/* This file, which must be there. */
int config_read_one(struct config *config, const char *path, char error[CONFIG_ERROR_MAX]);
/* The same, and FILE.d/ *.conf sorted by name. */
int config_read_file(struct config *config, const char *path, char error[CONFIG_ERROR_MAX]);
/* The first NAME in these folders, then NAME.d/ *.conf of all of them sorted by name: of files of
 * the same name the one in the earliest folder counts. None at all is well. */
int config_read_folders(struct config *config, const char *const *folders, size_t n_folders,
                        const char *name, char error[CONFIG_ERROR_MAX]);
/* FOLDER/ *.conf of all of these folders, sorted by name and masked as drop-ins are. */
int config_read_drop_ins(struct config *config, const char *const *folders, size_t n_folders,
                         char error[CONFIG_ERROR_MAX]);

/* --- Values --- */

/* The next word of a list: up to a blank, or between two " or two ', within which nothing else is
 * special. *at is moved behind it; the word is a part of the text. 1, 0 after the last, -EINVAL: a
 * quote is not closed, or has something behind it that is no blank. */
int config_next_word(const char **at, const char **ret, size_t *ret_len);
/* 0 or -EINVAL. */
int config_parse_boolean(const char *text, bool *ret);
/* "100ms", "5s", "1min 30s", "1.5": nanoseconds; a number without a unit is in `unit` of them.
 * Units: us, ms, s, m or min, h, d. 0, -EINVAL or -ERANGE. */
int config_parse_span(const char *text, uint64_t unit, uint64_t *ret);
