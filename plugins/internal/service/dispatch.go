package service

import (
	"context"

	"go.opentelemetry.io/otel/propagation"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/plugins/internal/wire"
)

// method carries out one kind of calls in a session.
type method func(*session, context.Context, *pluginpb.Call) (*pluginpb.Reply, error)

// route returns the method that carries out a call in this session, and the call's
// class.
func (s *session) route(c *pluginpb.Call) (wire.Method, wire.Class) {
	m, class := findMethod(c)
	return func(ctx context.Context, c *pluginpb.Call) *pluginpb.Reply { return s.run(ctx, m, c) }, class
}

// findMethod returns the method of a call and the call's class. It is the only
// place that distinguishes the kinds of calls.
func findMethod(c *pluginpb.Call) (method, wire.Class) {
	switch b := c.Body.(type) {
	case *pluginpb.Call_CloseHandle:
		return (*session).closeHandle, wire.Slow

	case *pluginpb.Call_KvOpenStore:
		return (*session).openStore, wire.Slow
	case *pluginpb.Call_KvStores:
		return (*session).listStores, wire.Slow
	case *pluginpb.Call_KvDeleteStore:
		return (*session).deleteStore, wire.Slow
	case *pluginpb.Call_KvDo:
		return (*session).applyOps, classOfOps(b.KvDo.GetOps())
	case *pluginpb.Call_KvTxn:
		return (*session).applyTxn, wire.Slow
	case *pluginpb.Call_KvList:
		return (*session).listEntries, wire.Slow
	case *pluginpb.Call_KvWatch:
		return (*session).openWatcher, wire.Slow
	case *pluginpb.Call_KvNext:
		return (*session).nextEvents, wire.Slow

	case *pluginpb.Call_PubsubOpenTopic:
		return (*session).openTopic, wire.Slow
	case *pluginpb.Call_PubsubOpenSubscription:
		return (*session).openSubscription, wire.Slow
	case *pluginpb.Call_PubsubTopics:
		return (*session).listTopics, wire.Slow
	case *pluginpb.Call_PubsubDeleteTopic:
		return (*session).deleteTopic, wire.Slow
	case *pluginpb.Call_PubsubDeleteGroup:
		return (*session).deleteGroup, wire.Slow
	case *pluginpb.Call_PubsubSend:
		return (*session).publishMessages, wire.Publishes
	case *pluginpb.Call_PubsubReceive:
		return (*session).receiveMessages, wire.Slow
	case *pluginpb.Call_PubsubSettle:
		return (*session).settleMessages, wire.Settles

	case *pluginpb.Call_ConfigOpenSource:
		return (*session).openSource, wire.Slow
	case *pluginpb.Call_ConfigSnapshot:
		return (*session).readSnapshot, wire.Slow
	case *pluginpb.Call_ConfigNext:
		return (*session).nextSnapshot, wire.Slow
	case *pluginpb.Call_ConfigSet:
		return (*session).setValues, wire.Slow

	case *pluginpb.Call_RpcListen:
		return (*session).openListener, wire.Slow
	case *pluginpb.Call_RpcAccept:
		return (*session).acceptStream, wire.Slow
	case *pluginpb.Call_RpcOpenStream:
		return (*session).openStream, wire.StreamOpens
	case *pluginpb.Call_RpcSend:
		return (*session).sendFrames, wire.StreamSends
	case *pluginpb.Call_RpcReceive:
		return (*session).receiveFrames, wire.Slow
	case *pluginpb.Call_RpcRegister:
		return (*session).registerEndpoint, wire.Slow
	case *pluginpb.Call_RpcKeep:
		return (*session).keepRegistration, wire.Slow
	case *pluginpb.Call_RpcWatchEndpoints:
		return (*session).openEndpointWatcher, wire.Slow
	case *pluginpb.Call_RpcNextEndpoints:
		return (*session).nextEndpoints, wire.Slow

	default:
		return refuseUnknown, wire.Slow
	}
}

// classOfOps returns the class of a call with operations on a store.
func classOfOps(ops []*pluginpb.KVOp) wire.Class {
	for _, op := range ops {
		if driver.OpKind(op.Kind).IsWrite() {
			return wire.Writes
		}
	}
	return wire.Reads
}

func refuseUnknown(*session, context.Context, *pluginpb.Call) (*pluginpb.Reply, error) {
	return nil, fairlead.Errorf(fairlead.Unsupported, "the plugin does not know this call; if the plugin is older than its host, update the plugin")
}

// run carries out a call. A panic of the driver fails only this call.
func (s *session) run(ctx context.Context, m method, c *pluginpb.Call) (r *pluginpb.Reply) {
	err := s.recoverPanic(func() (err error) {
		r, err = m(s, continueTrace(ctx, c), c)
		return err
	})
	if err != nil {
		r = &pluginpb.Reply{Error: convert.FromError(err)}
	}
	if s.isClosing() {
		s.reportEnding(r)
	}
	return r
}

// continueTrace returns a context with the caller's trace context.
func continueTrace(ctx context.Context, c *pluginpb.Call) context.Context {
	if c.Traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{
		"traceparent": c.Traceparent, "tracestate": c.Tracestate,
	})
}
