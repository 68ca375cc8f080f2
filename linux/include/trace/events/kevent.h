/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kevent

#if !defined(_TRACE_KEVENT_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_KEVENT_H

#include <linux/tracepoint.h>

TRACE_EVENT(kevent_add,
	TP_PROTO(u64 queue, u32 kind, u64 id, u32 mask, u32 flags),
	TP_ARGS(queue, kind, id, mask, flags),
	TP_STRUCT__entry(
		__field(u64, queue)
		__field(u64, id)
		__field(u32, kind)
		__field(u32, mask)
		__field(u32, flags)
	),
	TP_fast_assign(
		__entry->queue = queue;
		__entry->id = id;
		__entry->kind = kind;
		__entry->mask = mask;
		__entry->flags = flags;
	),
	TP_printk("queue=%llu type=%u id=%llx event=%x flags=%x",
		  __entry->queue, __entry->kind, __entry->id, __entry->mask,
		  __entry->flags)
);

TRACE_EVENT(kevent_remove,
	TP_PROTO(u64 queue, u32 kind, u64 id, bool outstanding),
	TP_ARGS(queue, kind, id, outstanding),
	TP_STRUCT__entry(
		__field(u64, queue)
		__field(u64, id)
		__field(u32, kind)
		__field(bool, outstanding)
	),
	TP_fast_assign(
		__entry->queue = queue;
		__entry->id = id;
		__entry->kind = kind;
		__entry->outstanding = outstanding;
	),
	TP_printk("queue=%llu type=%u id=%llx outstanding=%d", __entry->queue,
		  __entry->kind, __entry->id, __entry->outstanding)
);

TRACE_EVENT(kevent_fire,
	TP_PROTO(u64 queue, u32 mask, bool posted),
	TP_ARGS(queue, mask, posted),
	TP_STRUCT__entry(
		__field(u64, queue)
		__field(u32, mask)
		__field(bool, posted)
	),
	TP_fast_assign(
		__entry->queue = queue;
		__entry->mask = mask;
		__entry->posted = posted;
	),
	TP_printk("queue=%llu mask=%x posted=%d", __entry->queue,
		  __entry->mask, __entry->posted)
);

TRACE_EVENT(kevent_get,
	TP_PROTO(u64 queue, u32 min_nr, u32 max_nr, long ret),
	TP_ARGS(queue, min_nr, max_nr, ret),
	TP_STRUCT__entry(
		__field(u64, queue)
		__field(long, ret)
		__field(u32, min_nr)
		__field(u32, max_nr)
	),
	TP_fast_assign(
		__entry->queue = queue;
		__entry->ret = ret;
		__entry->min_nr = min_nr;
		__entry->max_nr = max_nr;
	),
	TP_printk("queue=%llu min_nr=%u max_nr=%u ret=%ld", __entry->queue,
		  __entry->min_nr, __entry->max_nr, __entry->ret)
);

TRACE_EVENT(kevent_wait,
	TP_PROTO(u64 queue, u32 num, u32 old_uidx, long ret),
	TP_ARGS(queue, num, old_uidx, ret),
	TP_STRUCT__entry(
		__field(u64, queue)
		__field(long, ret)
		__field(u32, num)
		__field(u32, old_uidx)
	),
	TP_fast_assign(
		__entry->queue = queue;
		__entry->ret = ret;
		__entry->num = num;
		__entry->old_uidx = old_uidx;
	),
	TP_printk("queue=%llu num=%u old_uidx=%u ret=%ld", __entry->queue,
		  __entry->num, __entry->old_uidx, __entry->ret)
);

TRACE_EVENT(kevent_commit,
	TP_PROTO(u64 queue, u32 index, u32 over, long ret),
	TP_ARGS(queue, index, over, ret),
	TP_STRUCT__entry(
		__field(u64, queue)
		__field(long, ret)
		__field(u32, index)
		__field(u32, over)
	),
	TP_fast_assign(
		__entry->queue = queue;
		__entry->ret = ret;
		__entry->index = index;
		__entry->over = over;
	),
	TP_printk("queue=%llu index=%u over=%u ret=%ld", __entry->queue,
		  __entry->index, __entry->over, __entry->ret)
);

#endif /* _TRACE_KEVENT_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
