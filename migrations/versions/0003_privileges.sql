-- Where epochs begin is for everybody to read who reads the log, and for nobody but its owner to say.
grant select on harness.epoch to harness_reader, harness_operator;
