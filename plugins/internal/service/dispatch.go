package service

import (
	"context"

	"go.opentelemetry.io/otel/propagation"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// traced returns a context that goes on with the trace of the caller.
func traced(ctx context.Context, c *pluginpb.Call) context.Context {
	if c.Traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{
		"traceparent": c.Traceparent, "tracestate": c.Tracestate,
	})
}

// dispatch finds what carries out a call.
func (s *session) dispatch(ctx context.Context, c *pluginpb.Call) (*pluginpb.Reply, error) {
	switch b := c.Body.(type) {
	case *pluginpb.Call_CloseHandle:
		return &pluginpb.Reply{}, s.release(ctx, c.Handle)
	case *pluginpb.Call_KvOpenStore, *pluginpb.Call_KvStores, *pluginpb.Call_KvDeleteStore:
		return s.kvProvider(ctx, c)
	case *pluginpb.Call_KvDo:
		return s.kvDo(ctx, c.Handle, b.KvDo)
	case *pluginpb.Call_KvTxn, *pluginpb.Call_KvList, *pluginpb.Call_KvWatch:
		return s.kvStore(ctx, c)
	case *pluginpb.Call_KvNext:
		return s.kvNext(ctx, c.Handle)
	case *pluginpb.Call_PubsubOpenTopic, *pluginpb.Call_PubsubOpenSubscription, *pluginpb.Call_PubsubTopics,
		*pluginpb.Call_PubsubDeleteTopic, *pluginpb.Call_PubsubDeleteGroup:
		return s.pubsubProvider(ctx, c)
	case *pluginpb.Call_PubsubSend:
		return s.pubsubSend(ctx, c.Handle, b.PubsubSend)
	case *pluginpb.Call_PubsubReceive, *pluginpb.Call_PubsubSettle:
		return s.pubsubSubscription(ctx, c)
	case *pluginpb.Call_ConfigOpenSource:
		return s.configOpen(ctx, b.ConfigOpenSource)
	case *pluginpb.Call_ConfigSnapshot, *pluginpb.Call_ConfigNext, *pluginpb.Call_ConfigSet:
		return s.configSource(ctx, c)
	case *pluginpb.Call_RpcListen, *pluginpb.Call_RpcOpenStream:
		return s.rpcProvider(ctx, c)
	case *pluginpb.Call_RpcAccept:
		return s.rpcAccept(ctx, c.Handle)
	case *pluginpb.Call_RpcSend, *pluginpb.Call_RpcReceive:
		return s.rpcStream(ctx, c)
	case *pluginpb.Call_RpcRegister, *pluginpb.Call_RpcWatchEndpoints:
		return s.rpcDirectory(ctx, c)
	case *pluginpb.Call_RpcKeep:
		return s.rpcKeep(ctx, c.Handle)
	case *pluginpb.Call_RpcNextEndpoints:
		return s.rpcNextEndpoints(ctx, c.Handle)
	default:
		return nil, fairlead.Errorf(fairlead.Unsupported, "the plugin does not know this call; it may be older than its host")
	}
}
