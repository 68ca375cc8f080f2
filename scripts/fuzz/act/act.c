// SPDX-License-Identifier: GPL-2.0
#define ACT
#include "act.h"
