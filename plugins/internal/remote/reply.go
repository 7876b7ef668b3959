package remote

import (
	"fmt"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// answers reports whether a reply without an error has what its call asks for: the
// body of the right kind, and a handle for what was opened.
func answers(r *pluginpb.Reply, c *pluginpb.Call) bool {
	switch c.Body.(type) {
	case *pluginpb.Call_KvOpenStore, *pluginpb.Call_KvWatch, *pluginpb.Call_PubsubOpenTopic,
		*pluginpb.Call_PubsubOpenSubscription, *pluginpb.Call_ConfigOpenSource, *pluginpb.Call_RpcListen,
		*pluginpb.Call_RpcOpenStream, *pluginpb.Call_RpcRegister, *pluginpb.Call_RpcWatchEndpoints:
		return r.Handle != 0
	case *pluginpb.Call_RpcAccept:
		return r.Handle != 0 && r.GetRpcIncoming() != nil
	case *pluginpb.Call_KvDo:
		return r.GetKvResults() != nil
	case *pluginpb.Call_KvTxn:
		return r.GetKvTxnResult() != nil
	case *pluginpb.Call_KvList:
		return r.GetKvPage() != nil
	case *pluginpb.Call_KvNext:
		return r.GetKvEvents() != nil
	case *pluginpb.Call_KvStores, *pluginpb.Call_PubsubTopics:
		return r.GetNames() != nil
	case *pluginpb.Call_PubsubSend:
		return r.GetPubsubSendResults() != nil
	case *pluginpb.Call_PubsubReceive:
		return r.GetPubsubDeliveries() != nil
	case *pluginpb.Call_PubsubSettle:
		return r.GetPubsubSettled() != nil
	case *pluginpb.Call_ConfigSnapshot, *pluginpb.Call_ConfigNext:
		return r.GetConfigState() != nil
	case *pluginpb.Call_ConfigSet:
		return r.GetConfigVersion() != nil
	case *pluginpb.Call_RpcReceive:
		return r.GetRpcFrames() != nil
	case *pluginpb.Call_RpcNextEndpoints:
		return r.GetRpcEndpoints() != nil
	default: // closing, deleting, sending frames, keeping: nothing is returned
		return true
	}
}

// nameOfReply names the content of a reply, for errors.
func nameOfReply(r *pluginpb.Reply) string {
	if r.Body == nil {
		return fmt.Sprintf("the handle %d and no body", r.Handle)
	}
	m := r.ProtoReflect()
	return fmt.Sprintf("the handle %d and the body %s", r.Handle, m.WhichOneof(m.Descriptor().Oneofs().ByName("body")).Name())
}
