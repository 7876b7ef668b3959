package convert

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

func protoInt(n int64) protoreflect.Value { return protoreflect.ValueOfInt64(n) }

// FuzzFromHost converts whatever arrives in a frame from a host.
func FuzzFromHost(f *testing.F) {
	f.Add([]byte{})
	f.Add(marshal(f, &pluginpb.ExchangeRequest{Calls: []*pluginpb.Call{
		{Body: &pluginpb.Call_KvDo{KvDo: &pluginpb.KVDo{Ops: []*pluginpb.KVOp{{Kind: 2, Key: []byte("k"), TtlNanos: -1, TimeoutNanos: 1}}}}},
		{Body: &pluginpb.Call_KvTxn{KvTxn: &pluginpb.KVTxn{Conditions: []*pluginpb.KVCondition{{Key: []byte("k")}}}}},
		{Body: &pluginpb.Call_PubsubSend{PubsubSend: &pluginpb.PubSubSend{Messages: []*pluginpb.PubSubMessage{{Id: "i", Metadata: map[string]string{"a": "b"}}}}}},
		{Body: &pluginpb.Call_PubsubOpenSubscription{PubsubOpenSubscription: &pluginpb.PubSubOpenSubscription{TimeUnixNanos: 1}}},
		{Body: &pluginpb.Call_PubsubSettle{PubsubSettle: &pluginpb.PubSubSettle{Settlements: []*pluginpb.PubSubSettlement{{Kind: 1}}}}},
		{Body: &pluginpb.Call_ConfigSet{ConfigSet: &pluginpb.ConfigSet{Changes: []*pluginpb.ConfigChange{{Key: []byte("k")}}}}},
		{Body: &pluginpb.Call_RpcOpenStream{RpcOpenStream: &pluginpb.RPCOpenStream{Start: &pluginpb.RPCStart{Method: "m"}, First: []*pluginpb.RPCFrame{{}}}}},
		{Body: &pluginpb.Call_RpcRegister{RpcRegister: &pluginpb.RPCRegister{Endpoint: &pluginpb.RPCEndpoint{Address: "a"}}}},
	}}))
	f.Fuzz(func(_ *testing.T, b []byte) {
		var frame pluginpb.ExchangeRequest
		if frame.UnmarshalVTUnsafe(b) != nil {
			return
		}
		for _, c := range frame.Calls {
			ToOps(c.GetKvDo().GetOps())
			ToTxn(c.GetKvTxn())
			ToMessages(c.GetPubsubSend())
			ToSubscription(c.GetPubsubOpenSubscription())
			ToSettlements(c.GetPubsubSettle())
			ToChanges(c.GetConfigSet())
			ToCall(c.GetRpcOpenStream().GetStart())
			ToFrames(c.GetRpcOpenStream().GetFirst())
			ToFrames(c.GetRpcSend().GetFrames())
			ToEndpoint(c.GetRpcRegister().GetEndpoint())
		}
	})
}

// FuzzFromPlugin converts whatever arrives in a frame from a plugin, and in a
// description.
func FuzzFromPlugin(f *testing.F) {
	f.Add([]byte{})
	f.Add(marshal(f, &pluginpb.ExchangeResponse{End: &pluginpb.Error{Code: 3}, Replies: []*pluginpb.Reply{
		{Body: &pluginpb.Reply_KvResults{KvResults: &pluginpb.KVResults{Results: []*pluginpb.KVResult{{Current: &pluginpb.KVEntry{}, Error: &pluginpb.Error{}}}}}},
		{Body: &pluginpb.Reply_KvPage{KvPage: &pluginpb.KVPage{Entries: []*pluginpb.KVEntry{{}}}}},
		{Body: &pluginpb.Reply_KvEvents{KvEvents: &pluginpb.KVEvents{Events: []*pluginpb.KVEvent{{Kind: 1}}}}},
		{Body: &pluginpb.Reply_PubsubSendResults{PubsubSendResults: &pluginpb.PubSubSendResults{Results: []*pluginpb.PubSubSendResult{{}}}}},
		{Body: &pluginpb.Reply_PubsubDeliveries{PubsubDeliveries: &pluginpb.PubSubDeliveries{Deliveries: []*pluginpb.PubSubDelivery{{Attempt: -1}}}}},
		{Body: &pluginpb.Reply_PubsubSettled{PubsubSettled: &pluginpb.PubSubSettled{Failures: []*pluginpb.PubSubSettleFailure{{Index: 9}}}}},
		{Body: &pluginpb.Reply_ConfigState{ConfigState: &pluginpb.ConfigState{Settings: []*pluginpb.ConfigSetting{{}}}}},
		{Body: &pluginpb.Reply_RpcFrames{RpcFrames: &pluginpb.RPCFrames{Frames: []*pluginpb.RPCFrame{{Credit: -1}}}}},
		{Body: &pluginpb.Reply_RpcEndpoints{RpcEndpoints: &pluginpb.RPCEndpoints{Endpoints: []*pluginpb.RPCEndpoint{{}}}}},
	}}))
	f.Fuzz(func(_ *testing.T, b []byte) {
		var d pluginpb.Description
		if d.UnmarshalVT(b) == nil {
			ToDescription(&d)
		}
		var frame pluginpb.ExchangeResponse
		if frame.UnmarshalVT(b) != nil {
			return
		}
		_ = ToError(frame.End)
		for _, r := range frame.Replies {
			_ = ToError(r.Error)
			ToResults(r.GetKvResults())
			ToPage(r.GetKvPage())
			ToEvents(r.GetKvEvents())
			ToSendResults(r.GetPubsubSendResults())
			ToDeliveries(r.GetPubsubDeliveries())
			_, _ = ToSettled(r.GetPubsubSettled(), 3)
			ToSnapshot(r.GetConfigState())
			ToCall(r.GetRpcIncoming().GetStart())
			ToFrames(r.GetRpcFrames().GetFrames())
			ToEndpoints(r.GetRpcEndpoints().GetEndpoints())
		}
	})
}

func marshal(f *testing.F, m message) []byte {
	f.Helper()
	b, err := m.MarshalVT()
	if err != nil {
		f.Fatal(err)
	}
	return b
}
