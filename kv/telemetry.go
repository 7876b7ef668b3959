package kv

import (
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"fairlead.dev/internal/handle"
	"fairlead.dev/internal/telemetry"
)

// objectOf names a store in an error.
func objectOf(store string) string { return fmt.Sprintf("store %q", store) }

// storeTelemetry holds the telemetry of every method, built when the store is
// opened.
type storeTelemetry struct {
	get, getMany, put, create, cas, del, deleteIf, list, watch, txn *telemetry.Operation
}

func newStoreTelemetry(h *handle.Handle, store string) storeTelemetry {
	t := telemetry.New("fairlead.dev/kv", "db.client.operation.duration", h.Provider)
	operation := func(method, name string) *telemetry.Operation {
		return t.Operation("kv."+method, name+" "+store, trace.SpanKindClient,
			attribute.String("db.system.name", h.System),
			attribute.String("db.operation.name", name),
			attribute.String("db.collection.name", store)).About(objectOf(store))
	}
	return storeTelemetry{
		get: operation("Get", "get"), getMany: operation("GetMany", "get_many"),
		put: operation("Put", "put"), create: operation("Create", "create"), cas: operation("CAS", "cas"),
		del: operation("Delete", "delete"), deleteIf: operation("DeleteIf", "delete_if"),
		list: operation("List", "list"), watch: operation("Watch", "watch"), txn: operation("Txn", "txn"),
	}
}
