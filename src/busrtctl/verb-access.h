/* SPDX-License-Identifier: Apache-2.0 */
/* What follows "busrtctl access", and what they share. argv[0] is the second word. */
#pragma once

#include "busrtctl/access-files.h"
#include "busrtctl/busrtctl.h"
#include "busrtctl/text.h"

int access_explain(const struct settings *settings, int argc, char **argv);
int access_test(const struct settings *settings, int argc, char **argv);
int access_show(const struct settings *settings, int argc, char **argv);

/* What --help says of --rules and --config. */
#define ACCESS_SOURCE_HELP                                                                         \
        "  -r, --rules DIR     the rules of this folder, as they would be in an access.d\n"        \
        "  -c, --config FILE   those that busrtd has with --config FILE: FILE.access.d/*.conf\n"
/* 0, or EXIT_USAGE. */
int access_check_source(const char *verb, const struct access_source *source);

/* "FILE:LINE", visible; "" where there is none. */
void access_add_place(struct text *text, const char *file, unsigned line);
/* Of all a text holds. NULL: no memory. */
char *access_take_text(struct text *text);
/* ,"file":...,"line":... */
void access_add_place_json(struct text *out, const char *file, unsigned line);
