"""The SIP edge of a desk: the proxy between its telephone, the telephone system and the bridge's child.

All that the telephone does besides calls passes through to the telephone system and back; calls go by way of
the child, which records them, or straight through where the rules say so. Passwords are never known here: who
asks for one and who has it see each other's headers.

There are three *faces*, each with sockets of its own (`faces`): `phone`, where the telephone finds the edge
on this machine; `pbx`, where the telephone system does; `line`, where the child does. Which of them a message
came by is its *side*. Data goes one way: a message comes in, the `router` says where it goes and how it looks
there, and the proxy core (`callseal.agent.sip`) sends it.

- `router` decides; it asks the `gate`, which is the bridge's own, about calls alone.
- `bindings` know where the telephones are (`places`), by their registrations and Contacts (`contacts`);
  `bindings_file` keeps them over a restart; `directory` says who is where, and what each side is told of it.
- `routes` has dialogs come back through here (Record-Route); `crossings` knows which way a request went.
- `passed` follows the calls that go straight.
- `carry` takes over what one leg of a call says to the other, `dialled` what the telephone's digest covers;
  `dialogs` watches the child's, to end them in its stead; `refer` reads who is to be called instead; `facts`
  is what is known of a call at its INVITE.

A message can go to nobody else: `faces.Faces` makes every hop, to a telephone that was heard of from this
machine, to the telephone system of the settings, or to the child.

Pure, apart from `bindings_file` and the shell (`server`).
"""
