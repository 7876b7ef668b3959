package remote

// progress tracks the position after which a broadcast resumes when it is
// reopened.
type progress struct {
	settledThrough string // the position up to which every message is settled; empty if unknown
	delivered      bool   // whether any message was delivered
	unsettled      []*message
	byPosition     map[string]*message
	byToken        map[string]*message
}

// message is a delivered message that is not settled, or that follows one.
type message struct {
	position, token string
	settled         bool
}

// recordDelivery records a delivery, which may be the message's second one.
func (p *progress) recordDelivery(token, position string) {
	if p.byPosition == nil {
		p.byPosition, p.byToken = map[string]*message{}, map[string]*message{}
	}
	p.delivered = true
	m, known := p.byPosition[position]
	if !known {
		m = &message{position: position}
		p.unsettled = append(p.unsettled, m)
		p.byPosition[position] = m
	}
	delete(p.byToken, m.token)
	m.token = token
	p.byToken[token] = m
}

// recordAck records an acknowledgement.
func (p *progress) recordAck(token string) {
	m, ok := p.byToken[token]
	if !ok {
		return
	}
	m.settled = true
	for len(p.unsettled) > 0 && p.unsettled[0].settled {
		first := p.unsettled[0]
		p.unsettled, p.settledThrough = p.unsettled[1:], first.position
		delete(p.byPosition, first.position)
		delete(p.byToken, first.token)
	}
}

// resumePosition returns the position after which to resume, or an empty string
// if none is known, and whether any message was delivered. It forgets the
// messages that are not settled: they are delivered again.
func (p *progress) resumePosition() (position string, delivered bool) {
	p.unsettled, p.byPosition, p.byToken = nil, nil, nil
	return p.settledThrough, p.delivered
}
