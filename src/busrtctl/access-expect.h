/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file expects of access rules, busrt.access(5): headers and values of its lines, taken
 * apart. Pure.
 */
#pragma once

#include "busrtctl/access-question.h"

/* The words of a value, quoted as in the rules. */
struct access_words {
        char **words; /* NULL behind the last */
        size_t n;
};

void access_words_done(struct access_words *words);
/* 0; -EINVAL: a quoted word does not end; -ENOMEM. */
int access_words_split(const char *text, struct access_words *ret);

/* "NAME", "NAME as user USER group GROUP", "NAME as host ADDRESS" */
struct access_header {
        const char *name;
        const char *user, *host; /* at most one of them */
        const char *groups[16];
        size_t n_groups;
};
/* Points into the words. 0, or -EINVAL with a static text. */
int access_header_parse(const struct access_words *words, struct access_header *ret,
                        const char **ret_why);

/* "bear", "publish TOPIC...": the deed, and its objects from the second word on. As above. */
int access_expectation_parse(const struct access_words *words, enum access_deed *ret,
                             const char **ret_why);
