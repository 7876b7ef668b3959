package service

import (
	"fairlead.dev"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// A host checks the arguments of calls before it sends them. These checks are for
// hosts that do not, so that no driver gets what it was never made for.

// clampLimit returns how many items a call asks for: from 1 to maxListLimit.
func clampLimit(n int64) int { return int(min(max(n, 1), maxListLimit)) }

func checkOps(ops []*pluginpb.KVOp) error {
	for _, op := range ops {
		switch _, known := pluginpb.KVOpKind_name[int32(op.Kind)]; {
		case !known || op.Kind == pluginpb.KVOpKind_KV_OP_KIND_UNSPECIFIED:
			return errInvalid("kind of an operation", int64(op.Kind))
		case op.TtlNanos < 0:
			return errInvalid("ttl_nanos", op.TtlNanos)
		}
	}
	return nil
}

func checkSettlements(all []*pluginpb.PubSubSettlement) error {
	for _, s := range all {
		switch _, known := pluginpb.PubSubSettleKind_name[int32(s.Kind)]; {
		case !known || s.Kind == pluginpb.PubSubSettleKind_PUB_SUB_SETTLE_KIND_UNSPECIFIED:
			return errInvalid("kind of a settlement", int64(s.Kind))
		case s.DelayNanos < 0:
			return errInvalid("delay_nanos", s.DelayNanos)
		}
	}
	return nil
}

func checkSubscription(c *pluginpb.PubSubOpenSubscription) error {
	switch _, known := pluginpb.PubSubStart_name[int32(c.GetStart())]; {
	case !known:
		return errInvalid("start", int64(c.GetStart()))
	case c.GetAckDeadlineNanos() < 0:
		return errInvalid("ack_deadline_nanos", c.GetAckDeadlineNanos())
	}
	return nil
}

func errInvalid(field string, value int64) error {
	return fairlead.Errorf(fairlead.Invalid, "the %s is %d, which the plugin does not know; if the plugin is older than its host, update the plugin", field, value)
}
