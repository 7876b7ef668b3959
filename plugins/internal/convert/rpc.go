package convert

import (
	"strings"
	"time"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/rpc/driver"
)

// FromCall returns the message for what a server learns of a call.
func FromCall(c driver.Call) *pluginpb.RPCStart {
	return &pluginpb.RPCStart{Method: c.Method, Metadata: fromFields(c.Metadata), TimeoutNanos: int64(c.Timeout)}
}

// ToCall returns what a server learns of a call.
func ToCall(c *pluginpb.RPCStart) driver.Call {
	return driver.Call{Method: c.GetMethod(), Metadata: toFields(c.GetMetadata()), Timeout: time.Duration(c.GetTimeoutNanos())}
}

// FromFrames returns the messages for frames.
func FromFrames(fs []driver.Frame) []*pluginpb.RPCFrame {
	return messages(fs, func(m *pluginpb.RPCFrame, f driver.Frame) {
		m.Kind, m.Metadata, m.Payload = pluginpb.RPCFrameKind(f.Kind), fromFields(f.Metadata), f.Payload
		m.Status, m.Credit = fromStatus(f.Status), int64(f.Credit)
	})
}

// ToFrames returns the frames of messages.
func ToFrames(fs []*pluginpb.RPCFrame) []driver.Frame {
	return each(fs, func(f *pluginpb.RPCFrame) driver.Frame {
		return driver.Frame{
			Kind: driver.FrameKind(f.Kind), Metadata: toFields(f.Metadata), Payload: f.Payload,
			Status: driver.Status{Code: f.Status.GetCode(), Message: f.Status.GetMessage(), Details: f.Status.GetDetails()},
			Credit: int(f.Credit),
		}
	})
}

func fromStatus(s driver.Status) *pluginpb.RPCStatus {
	if s.Code == 0 && s.Message == "" && len(s.Details) == 0 {
		return nil
	}
	return &pluginpb.RPCStatus{Code: s.Code, Message: s.Message, Details: s.Details}
}

func fromFields(fs []driver.Field) []*pluginpb.RPCField {
	return messages(fs, func(m *pluginpb.RPCField, f driver.Field) { m.Name, m.Value = f.Name, f.Value })
}

func toFields(fs []*pluginpb.RPCField) []driver.Field {
	return each(fs, func(f *pluginpb.RPCField) driver.Field { return driver.Field{Name: f.Name, Value: f.Value} })
}

// FromEndpoint returns the message for an endpoint.
func FromEndpoint(e driver.Endpoint) *pluginpb.RPCEndpoint {
	return &pluginpb.RPCEndpoint{Address: e.Address}
}

// ToEndpoint returns the endpoint of a message.
func ToEndpoint(e *pluginpb.RPCEndpoint) driver.Endpoint {
	return driver.Endpoint{Address: strings.Clone(e.GetAddress())}
}

// FromEndpoints returns the messages for endpoints.
func FromEndpoints(es []driver.Endpoint) []*pluginpb.RPCEndpoint { return each(es, FromEndpoint) }

// ToEndpoints returns the endpoints of messages.
func ToEndpoints(es []*pluginpb.RPCEndpoint) []driver.Endpoint { return each(es, ToEndpoint) }
