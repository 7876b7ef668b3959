package service

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/plugins/internal/wire"
)

// callOf returns an empty call of the kind that a field of the body stands for.
func callOf(field protoreflect.FieldDescriptor) *pluginpb.Call {
	m := (&pluginpb.Call{}).ProtoReflect()
	m.Set(field, m.NewField(field))
	return m.Interface().(*pluginpb.Call)
}

// quickClasses are the classes of the kinds of calls that may run in the goroutine
// that reads. All others wait for an event, or are rare.
var quickClasses = map[protoreflect.Name]wire.Class{
	"kv_do": wire.Reads, "pubsub_send": wire.Publishes, "pubsub_settle": wire.Settles,
	"rpc_open_stream": wire.StreamOpens, "rpc_send": wire.StreamSends,
}

// TestEveryCallHasAMethod shows that no kind of call in the protocol is unknown to
// the service, and which ones may count as quick.
func TestEveryCallHasAMethod(t *testing.T) {
	_, h := newAttached(t, newFakeProvider(fairlead.Limits{}))
	fields := (&pluginpb.Call{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if _, class := findMethod(callOf(field)); class != quickClasses[field.Name()] {
			t.Errorf("%s has the class %v, want %v", field.Name(), class, quickClasses[field.Name()])
		}
		r := h.callAndWait(1, callOf(field)) // no handle is open: this fails, but not as unknown
		if _, err := refuseUnknown(nil, context.Background(), nil); r.GetError().GetMessage() == err.(*fairlead.Error).Message {
			t.Errorf("%s is unknown to the service", field.Name())
		}
	}
	if r := h.callAndWait(0, &pluginpb.Call{}); r.GetError().GetCode() != pluginpb.Code_CODE_UNSUPPORTED {
		t.Errorf("a call without a body: %v, want Unsupported", r)
	}
}

// TestClassOfOps shows that one write makes a call a writing one.
func TestClassOfOps(t *testing.T) {
	get, put := &pluginpb.KVOp{Kind: pluginpb.KVOpKind_KV_OP_KIND_GET}, &pluginpb.KVOp{Kind: pluginpb.KVOpKind_KV_OP_KIND_PUT}
	if got := classOfOps([]*pluginpb.KVOp{get, get}); got != wire.Reads {
		t.Errorf("reads have the class %v", got)
	}
	for i := range 3 {
		if got := classOfOps(slices.Insert([]*pluginpb.KVOp{get, get}, i, put)); got != wire.Writes {
			t.Errorf("a write at %d has the class %v", i, got)
		}
	}
}
