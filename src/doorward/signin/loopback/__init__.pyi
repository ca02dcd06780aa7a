from doorward.signin.loopback.listener import CallbackListener as CallbackListener
