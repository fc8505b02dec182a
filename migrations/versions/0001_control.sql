-- harness.control: the control events, readable. The barrier keeps a caller's conditions from being evaluated on the
-- bytes of other kinds, which are no JSON.
create view harness.control with (security_barrier) as
    select b.position, b.recorded_at, c.event ->> 'type' as type, c.event ->> 'subject' as subject,
        c.event ->> 'actor' as actor, c.event -> 'body' as body
    from harness.batch b
    cross join lateral (select convert_from(b.payload, 'UTF8')::jsonb as event) c
    where b.kind = 'control';
